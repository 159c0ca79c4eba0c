"""ModelPrice: US dollars per million tokens of one model."""

from __future__ import annotations

from pydantic import Field, model_validator

from agent.domain.values import Frozen


class TokenPrice(Frozen):
    """US dollars per million tokens of each kind; what is left out follows from `input` as in the provider's list."""

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cache_write_5m: float = Field(default=-1.0, allow_inf_nan=False, description="Unset: 1.25 times `input`.")
    cache_write_1h: float = Field(default=-1.0, allow_inf_nan=False, description="Unset: twice `input`.")
    cache_read: float = Field(default=-1.0, allow_inf_nan=False, description="Unset: a tenth of `input`.")

    @model_validator(mode="after")
    def fill_in(self) -> TokenPrice:
        """Derive the prices of the cache that were left out."""
        for name, factor in (("cache_write_5m", 1.25), ("cache_write_1h", 2.0), ("cache_read", 0.1)):
            if getattr(self, name) < 0:
                object.__setattr__(self, name, self.input * factor)
        return self


class ModelPrice(TokenPrice):
    """The prices of one model: its usual ones, those of a long prompt, and those of its fast mode."""

    long_above_tokens: int | None = Field(default=None, ge=1, description="A longer prompt costs as `long` says.")
    long: TokenPrice | None = None
    fast: TokenPrice | None = None
    web_search: float = Field(default=0.01, ge=0, allow_inf_nan=False, description="US dollars per search.")
