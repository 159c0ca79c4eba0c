"""The commands of the terminal, one file each, in three packages: jobs, the service, this machine.

Front door: a function of the command's name, which `cli.lazy_group` loads when it is called. Imports: doctor,
display, client, exit_status, errors.
"""
