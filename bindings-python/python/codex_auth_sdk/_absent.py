"""What stands for an HTTP integration whose library is not installed."""

# What to install for an integration, and the extra of this package that does it.
NEEDS = {
    "HttpxAuth": ("httpx 0.28 or later, or httpx2", "httpx"),
    "RequestsAuth": ("requests 2.32 or later", "requests"),
    "aiohttp_middleware": ("aiohttp 3.12 or later", "aiohttp"),
}


def stand_in(name: str, cause: ImportError) -> type:
    """Returns a class that raises `ImportError` when it is called, and says what to install.

    So the name can be imported, listed and documented where its library is not installed.
    """
    library, extra = NEEDS[name]
    message = f"{name} needs {library}: pip install 'codex-auth-sdk[{extra}]'"

    def refuse(_self: object, *_arguments: object, **_options: object) -> None:
        raise ImportError(message) from cause

    return type(
        name, (), {"__module__": "codex_auth_sdk", "__doc__": f"{message}.", "__init__": refuse}
    )
