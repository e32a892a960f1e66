"""A folder for stored files, made when the first of them is.  Flow: store, event log -> FOLDER."""

from micropython import const

ENOENT = const(2)
_ENOTDIR = const(20)
_EISDIR = const(21)


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
            fs.rename(path, path + ".bad")
        elif code in (ENOENT, _ENOTDIR):
            if code == _ENOTDIR:
                fs.rename(folder, folder + ".bad")
            fs.mkdir(folder)
        else:
            raise
    return open_file(path, mode)
