"""The fault campaign: studies are broken in every way we know, resumed, and must end as if nothing had been."""
