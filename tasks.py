from goctl import namespace

ns = namespace("goctl.toml")
