"""``python -m ssl_av`` is ``ssl-av``."""

from ssl_av.cli import main

if __name__ == "__main__":
    main()
