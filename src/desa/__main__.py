"""`python -m desa`: the command `desa`."""

from desa.cli import main

if __name__ == "__main__":
    main()
