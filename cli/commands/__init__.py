"""The commands of the terminal, one file each.

Front door: a function for each command, which `cli.main` loads when it is called. Imports: doctor, display, client."""
