"""`python -m rt_runtime`: the same program as the `rt` command."""

from rt_runtime import main

if __name__ == "__main__":
    main()
