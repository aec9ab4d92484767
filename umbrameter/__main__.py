"""`python -m umbrameter` is the command `umbrameter`."""

from umbrameter.cli import main

main()
