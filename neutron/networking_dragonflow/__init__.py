"""Neutron on Dragonflow.

API processes only write down what changed (`journal`), in the very transaction that changed it. One process, elected by a
lease (`sync.lease`), reads what is so now (`translate`) and sends it to the controller (`sync.pusher`), compares
everything now and then (`sync.reconcile`), and brings back what is really wired (`sync.status`).
"""
