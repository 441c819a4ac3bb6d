"""Every action of the contract, by type."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lorapod.actions import (
    bulk_download,
    cancel,
    describe_model,
    download,
    download_file,
    download_model,
    edit_model,
    generate,
    health,
    keep_alive,
    list_files,
    list_models,
    logs,
    lora,
    metrics,
    ping,
    process_status,
    processes,
    resume,
    sample_now,
    save_now,
    schema,
    train,
    train_from_supabase,
    train_from_urls,
    train_with_yaml,
    upload_training_data,
)
from lorapod.actions.action import Action

ACTIONS: Mapping[str, Action[Any, Any]] = MappingProxyType(
    {
        module.ACTION.type: module.ACTION
        for module in (
            health,
            ping,
            schema,
            upload_training_data,
            train,
            train_with_yaml,
            train_from_urls,
            train_from_supabase,
            process_status,
            processes,
            cancel,
            resume,
            save_now,
            sample_now,
            generate,
            keep_alive,
            logs,
            metrics,
            list_files,
            download_file,
            download,
            bulk_download,
            lora,
            list_models,
            describe_model,
            edit_model,
            download_model,
        )
    }
)
