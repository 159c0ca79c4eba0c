"""The demo: a service with a scripted model and a small repository, without key or internet.

Front door: `service.set_stage`, `offline_model.model.OfflineModel`. Imports: nothing of ours.
"""
