PARAMETERS: dict[str, float]
