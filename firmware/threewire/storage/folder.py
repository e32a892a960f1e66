"""A folder for stored files, made when the first of them is.  Flow: store, event log -> FOLDER."""

from micropython import const

ENOENT = const(2)


def create(fs, open_file, folder, path, mode):
    """Opens a file of the folder to write to it.

    fs         module or object with os's mkdir(path)
    open_file  the open(path, mode) that goes with it
    """
    try:
        return open_file(path, mode)
    except OSError as problem:
        if problem.errno != ENOENT:
            raise
    fs.mkdir(folder)
    return open_file(path, mode)
