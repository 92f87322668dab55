"""CloudFormation for the few types of resources that this project describes in templates.

moto's own drops much of what a template says (versions, encryption, retention), so templates are
worked off here: each resource is made by the calls that its service takes.
"""

from localaws.services.cloudformation.resources import make
from localaws.services.cloudformation.stacks import CloudFormation
from localaws.services.cloudformation.template import Template, TemplateError

__all__ = ["CloudFormation", "Template", "TemplateError", "make"]
