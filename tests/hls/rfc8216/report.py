"""What was found wrong."""


class Report:
    def __init__(self, root):
        self.root = root
        self.lines = []

    def wrong(self, section, path, line, what):
        try:
            path = path.relative_to(self.root)
        except ValueError:
            pass
        place = f"{path}:{line}" if line else str(path)
        self.lines.append(f"{section} {place} {what}")
