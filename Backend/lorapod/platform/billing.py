"""What RunPod's billing API answers: amounts in US dollars by period, and by endpoint or volume."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from pydantic import AwareDatetime

from lorapod.platform.models import PlatformModel


class BillingPeriod(StrEnum):
    """The length of a period; all of them begin at midnight UTC but the hour."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class ServerlessBill(PlatformModel):
    """What one endpoint cost in one period."""

    #: Inclusive.
    start_time: AwareDatetime
    #: Exclusive.
    end_time: AwareDatetime
    serverless_id: str
    total_amount: Decimal
    gpu_amount: Decimal
    cpu_amount: Decimal
    #: Container disks of running workers.
    disk_amount: Decimal
    fee_amount: Decimal


class VolumeBill(PlatformModel):
    """What one network volume cost in one period."""

    start_time: AwareDatetime
    end_time: AwareDatetime
    network_volume_id: str
    total_amount: Decimal
