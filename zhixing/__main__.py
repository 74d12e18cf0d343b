"""Run the command line as a module: python -m zhixing."""

from zhixing.cli.main import main

if __name__ == "__main__":
    main()
