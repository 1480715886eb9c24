// Empty on purpose: the target that owns the shared precompiled header needs one source.
