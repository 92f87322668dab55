"""The services by their AWS names.

A service has the parts that it needs: layers for the requests that moto does not answer as AWS
does, ``persistence.py`` for its data on disk, ``permissions.py`` for the permissions that its
requests need.
"""
