from tests.deploy.deployment import Deployment
def test_x(rehearsed: Deployment) -> None:
    asked = rehearsed.asked()
    for a in asked:
        if not a["allowed"]: print(a)
    assert all(a["allowed"] for a in asked)
