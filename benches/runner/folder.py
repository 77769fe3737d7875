"""The folders of runs and of comparisons: named by when and from what, so that they sort by date."""


def make(parent, date, name):
    """Makes a folder that was not there: two may begin in the same second."""
    parent.mkdir(parents=True, exist_ok=True)
    # No colons: not every file system takes them, nor does every upload.
    stem = f"{date:%Y-%m-%dT%H-%M-%SZ}-{name}"
    for number in range(1, 1000):
        folder = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(stem)
