"""IAM and STS: moto keeps roles, policies and access keys; here policies are evaluated.

Sessions of roles are restricted to the policies of their role; all other callers may do everything.
moto's own evaluation of policies is not used: it ignores elements that it does not understand, and
knows the permissions of few requests.
"""
