"""``python -m troth`` is the ``troth`` command."""

from troth.cli.main import main

if __name__ == "__main__":
    main()
