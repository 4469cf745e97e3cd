"""A model of what KEDA (2.20) makes of a ScaledObject with one Prometheus trigger, one look after another.

Its parts, as in KEDA's own code: the Prometheus scaler (what a result is worth), the scale handler and the executor
(at rest or not, fallback), and Kubernetes' autoscaler for the counts above one, without its limits on the pace.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TOLERANCE = 0.1
"""Of the autoscaler: a ratio as near to 1 as this changes nothing."""


class TriggerFailed(Exception):
    """The query has no answer that KEDA takes."""


@dataclass
class Keda:
    """Looks at one workload every `pollingInterval` seconds."""

    scaled: Mapping[str, Any]
    replicas: int = 0
    now: float = 0.0
    error: str | None = None
    """Of the last look."""
    _last_active: float = -math.inf
    _failures: int = 0
    _wanted: list[tuple[float, int]] = field(default_factory=list)

    def look(self, series: Sequence[float], times: int = 1) -> int:
        """How many pods there are after so many looks, at each of which the query gives the values of these series."""
        for _ in range(times):
            self.now += self.scaled["spec"]["pollingInterval"]
            try:
                self._decide(self._value(series))
                self.error, self._failures = None, 0
            except TriggerFailed as failure:
                self.error = str(failure)
                self._fall_back()
        return self.replicas

    @property
    def _trigger(self) -> Mapping[str, str]:
        [trigger] = self.scaled["spec"]["triggers"]
        told: Mapping[str, str] = trigger["metadata"]
        return told

    def _value(self, series: Sequence[float]) -> float:
        if len(series) > 1:
            raise TriggerFailed("the query returned more than one series")
        if not series or not math.isfinite(series[0]):
            if self._trigger.get("ignoreNullValues", "true") == "false":
                raise TriggerFailed("the query returned nothing")
            return 0.0
        return series[0]

    def _decide(self, value: float) -> None:
        spec = self.scaled["spec"]
        active = value > float(self._trigger.get("activationThreshold", "0"))
        least = spec.get("minReplicaCount", 0)
        if active:
            self._last_active = self.now
        if self.replicas == 0:
            self.replicas = max(1, least) if active else least
        elif not active and least == 0 and self.now - self._last_active > spec.get("cooldownPeriod", 300):
            self.replicas, self._wanted = 0, []
        else:
            self.replicas = self._autoscaled(value)

    def _autoscaled(self, value: float) -> int:
        spec = self.scaled["spec"]
        ratio = value / (float(self._trigger["threshold"]) * self.replicas)
        wanted = self.replicas if abs(ratio - 1) <= TOLERANCE else math.ceil(value / float(self._trigger["threshold"]))
        wanted = min(max(wanted, spec.get("minReplicaCount", 0), 1), spec.get("maxReplicaCount", 100))
        window = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"][
            "stabilizationWindowSeconds"
        ]
        self._wanted = [(at, count) for at, count in self._wanted if self.now - at < window] + [(self.now, wanted)]
        return max(wanted, min(self.replicas, max(count for _, count in self._wanted)))

    def _fall_back(self) -> None:
        """With a fallback, past its threshold, a workload is active whatever it is wanted for; without, all stays."""
        fallback = self.scaled["spec"].get("fallback")
        self._failures += 1
        if fallback is None or self._failures <= fallback["failureThreshold"]:
            return
        self._last_active = self.now
        if fallback.get("behavior", "static") == "currentReplicasIfHigher":
            self.replicas = max(self.replicas, fallback["replicas"])
        else:
            self.replicas = fallback["replicas"]
