"""Typed keywords of the client's methods. Made by `make docs`: change the source, not this file."""

from lorapod.client.options.comparison import ComparedSourceOptions, CompareOptions
from lorapod.client.options.generation import (
    GenerateOptions,
    LoraOptions,
    NamedAudioOptions,
    NamedImageOptions,
    NamedVideoOptions,
)
from lorapod.client.options.knobs import NetworkOptions, TrainingSetOptions, ValidationOptions, VariantOptions
from lorapod.client.options.lora_tools import ConvertLoraOptions, MergeLorasOptions, ResizeLoraOptions
from lorapod.client.options.training import (
    DatasetOptions,
    HuggingFaceDatasetOptions,
    HuggingFaceRepoOptions,
    LocalFolderOptions,
    ResumeOptions,
    S3PrefixOptions,
    StartFromOptions,
    StopWhenOptions,
    SupabaseFolderOptions,
    TrainingLimitsOptions,
    TrainOptions,
    UploadTargetsOptions,
)

__all__ = [
    "CompareOptions",
    "ComparedSourceOptions",
    "ConvertLoraOptions",
    "DatasetOptions",
    "GenerateOptions",
    "HuggingFaceDatasetOptions",
    "HuggingFaceRepoOptions",
    "LocalFolderOptions",
    "LoraOptions",
    "MergeLorasOptions",
    "NamedAudioOptions",
    "NamedImageOptions",
    "NamedVideoOptions",
    "NetworkOptions",
    "ResizeLoraOptions",
    "ResumeOptions",
    "S3PrefixOptions",
    "StartFromOptions",
    "StopWhenOptions",
    "SupabaseFolderOptions",
    "TrainOptions",
    "TrainingLimitsOptions",
    "TrainingSetOptions",
    "UploadTargetsOptions",
    "ValidationOptions",
    "VariantOptions",
]
