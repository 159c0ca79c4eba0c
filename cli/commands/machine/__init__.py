"""Commands about this machine: up, doctor, demo, backup, contexts.

Front door: a function of the command's name in each file. Imports: doctor, display, client, errors.
"""
