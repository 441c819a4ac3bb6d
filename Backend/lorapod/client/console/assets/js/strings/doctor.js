// Sentences of the doctor.
const s = (count, one, many = `${one}s`) => (count === 1 ? one : many);

export const doctorStrings = {
  doctor: {
    title: "Doctor",
    lead: "What is wrong with the endpoint, and how to mend it.",
    look: "Look",
    again: "Look again",
    looking: "Looking…",
    free: "asks no worker",
    none: "Nothing was looked at yet",
    noneHint: "The doctor looks at the key, the endpoint's settings, its workers, its queue and the volume.",
    problems: (count) => (count ? `${count} ${s(count, "problem")}` : "No problem was found."),
    severity: { problem: "problem", note: "note", ok: "fine" },
    fix: "Mend it",
    fixTitle: (check) => `Change ${check}?`,
    fixText: "The endpoint's settings on RunPod are changed as the doctor says.",
    next: "What to do",
  },
};
