"""The arrows between the compiled modules, for test_layering.py."""

# What each compiled module may see of the package; the C core is linked by the first alone.
COMPILED = {
    "_runtime": {"_cpus", "errors"},
    "_arrays": {"_runtime"},
    "_forward": {"_runtime"},
    "_gates": {"_runtime", "_forward"},
    "_backward": {"_runtime", "_forward"},
    "_parameters": {"_runtime", "_forward", "errors"},
    "_passes": {"_runtime", "_forward", "_parameters"},
    "_shuffle": set(),
    "_steps": {"_runtime", "_forward", "_backward", "_parameters"},
    "_limits": {"_runtime", "_forward", "_backward", "_steps"},
    "_signals": {"_runtime", "_steps"},
    "_split": {"_runtime", "_forward", "_backward", "_steps", "_limits", "_signals"},
    "_places": {"_runtime", "_forward", "_backward", "_steps"},
    "_wide": {"_runtime", "_forward", "_backward", "_steps", "_places"},
    "_phases": {"_runtime", "_steps", "_limits", "_signals", "_split", "_wide"},
    "_stream": {"_runtime", "_forward", "_steps"},
    "_region": {"_runtime", "_parameters", "_steps", "_phases", "_stream"},
    "_regime": {"_runtime", "_forward", "_backward", "_steps", "_cpus", "errors"},
    "_workspace": {"_runtime", "_forward", "_backward", "_steps", "_regime", "_limits", "_places"},
}
BELOW_REGION = {"_arrays", "_gates", "_limits", "_signals", "_split", "_wide", "_phases", "_stream"}
COMPILED["_engine"] = {*COMPILED, "_pace", "errors"} - BELOW_REGION
COMPILED["_probe"] = {"_runtime", "_forward", "_backward", "_parameters"}  # for bench/ alone
