"""A folder for stored files, made when the first of them is.  Flow: store, event log -> FOLDER."""

from micropython import const

ENOENT = const(2)
_ENOTDIR = const(20)
_EISDIR = const(21)
_LONGEST = const(100)  # of a name; littlefs takes 255


def create(fs, open_file, folder, path, mode):
    """Opens a file of the folder to write to it.  A file in the folder's place, and a folder in
    the file's, are put aside: whatever is there, it must not keep the meter from saving.

    fs         module or object with os's mkdir(path) and rename(path, path)
    open_file  the open(path, mode) that goes with it
    """
    try:
        return open_file(path, mode)
    except OSError as problem:
        code = problem.errno
        if code == _EISDIR:
            _put_aside(fs, path)
        elif code in (ENOENT, _ENOTDIR):
            if code == _ENOTDIR:
                _put_aside(fs, folder)
            fs.mkdir(folder)
        else:
            raise
    return open_file(path, mode)


def _put_aside(fs, path):
    """Gives it a name that nothing is in the way of."""
    name = path
    while True:
        name += ".bad"
        try:
            fs.rename(path, name)
        except OSError:
            if len(name) > _LONGEST:
                raise
        else:
            return
