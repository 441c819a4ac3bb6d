"""Every action of the contract, by type."""

from __future__ import annotations

from types import MappingProxyType

from lorapod.actions import (
    bulk_download,
    cancel,
    caption_dataset,
    compare,
    control_request,
    dataset,
    datasets,
    delete,
    describe_model,
    disk_usage,
    download,
    download_file,
    download_model,
    edit_dataset,
    edit_model,
    generate,
    health,
    keep_alive,
    list_files,
    list_models,
    list_presets,
    logs,
    lora,
    metrics,
    ping,
    process_status,
    processes,
    resume,
    schema,
    train,
    train_from_supabase,
    train_from_urls,
    upload_training_data,
)
from lorapod.actions.action import ActionTable

ACTIONS: ActionTable = MappingProxyType(
    {
        action.type: action
        for action in (
            health.ACTION,
            ping.ACTION,
            schema.ACTION,
            list_presets.ACTION,
            upload_training_data.ACTION,
            train.ACTION,
            train.WITH_YAML,
            train_from_urls.ACTION,
            train_from_supabase.ACTION,
            process_status.ACTION,
            processes.ACTION,
            cancel.ACTION,
            resume.ACTION,
            control_request.SAVE_NOW,
            control_request.SAMPLE_NOW,
            generate.ACTION,
            keep_alive.ACTION,
            logs.ACTION,
            metrics.ACTION,
            list_files.ACTION,
            download_file.ACTION,
            download.ACTION,
            bulk_download.ACTION,
            lora.ACTION,
            list_models.ACTION,
            describe_model.ACTION,
            edit_model.ACTION,
            download_model.ACTION,
            datasets.ACTION,
            dataset.ACTION,
            edit_dataset.ACTION,
            caption_dataset.ACTION,
            compare.ACTION,
            delete.ACTION,
            disk_usage.ACTION,
        )
    }
)
