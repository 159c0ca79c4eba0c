"""Commands about the running service: agents, schedules, triages, kept work, pause.

Front door: a function of the command's name in each file. Imports: display, client, exit_status, errors.
"""
