"""API Gateway's REST APIs: those that moto holds because somebody has deployed them, served."""

from localaws.services.apigateway.authorization import Authorization
from localaws.services.apigateway.rest_apis import RestApis

__all__ = ["Authorization", "RestApis"]
