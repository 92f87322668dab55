"""API Gateway's REST APIs: moto keeps them; here their stages answer requests.

A stage checks signatures, tokens of Cognito users, API keys and usage plans, invokes the function
of a method, and answers refusals as the API's gateway responses say. Imports of an API are
completed, since moto drops parts of the document.
"""
