"""Everything of the service that does not run in Lambda.

``cli`` is the ``faces`` command, ``infra`` deploys a stage, ``local`` runs the service on one
machine, and ``specification`` writes the OpenAPI document. Chalice dictates the name of the
package that Lambda gets: ``chalicelib``.
"""
