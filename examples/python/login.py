"""Signs in, in a terminal: with the browser of this machine, or by a code for another device.

Usage: login.py [browser|device] [ISSUER]
"""

import sys
from contextlib import suppress

from codex_auth_sdk import AuthManager, LoginNotSupported

way, issuer = [*sys.argv[1:], None, None][:2]

manager = AuthManager(issuer=issuer)
if way == "device":
    device = manager.login_with_device_code()
    print(f"Open {device.verification_uri} and type in {device.user_code}", flush=True)
    auth = device.wait()
else:
    with manager.login_with_browser() as login:
        print(f"Open {login.authorization_url}", flush=True)
        with suppress(LoginNotSupported):
            login.open_browser()
        auth = login.wait()
print(f"Signed in as {auth.email}")
