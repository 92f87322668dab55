"""CloudFormation: change sets and stacks of the resource types that are known here.

moto's own CloudFormation is not used: it drops much of a template, such as versioning, encryption
and retention. Here each resource is made with calls to its service.
"""

from localaws.services.cloudformation.resources import create_resources
from localaws.services.cloudformation.template import Template, TemplateError

__all__ = ["Template", "TemplateError", "create_resources"]
