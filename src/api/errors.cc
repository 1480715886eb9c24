#include "api/handles.h"
#include "base/format.h"

namespace graft::api {

// A code that this switch lacks is a compile error, so the C header cannot fall behind diag.def.
graft_code code_of(Code code) {
  switch (code) {
    case Code::file_not_found: return GRAFT_CODE_FILE_NOT_FOUND;
    case Code::io_error: return GRAFT_CODE_IO_ERROR;
    case Code::out_of_memory: return GRAFT_CODE_OUT_OF_MEMORY;
    case Code::memory_limit: return GRAFT_CODE_MEMORY_LIMIT;
    case Code::time_limit: return GRAFT_CODE_TIME_LIMIT;
    case Code::malformed: return GRAFT_CODE_MALFORMED;
    case Code::unsupported_format: return GRAFT_CODE_UNSUPPORTED_FORMAT;
    case Code::limit_exceeded: return GRAFT_CODE_LIMIT_EXCEEDED;
    case Code::unsafe_path: return GRAFT_CODE_UNSAFE_PATH;
    case Code::invalid_model: return GRAFT_CODE_INVALID_MODEL;
    case Code::unsupported_operator: return GRAFT_CODE_UNSUPPORTED_OPERATOR;
    case Code::invalid_attribute: return GRAFT_CODE_INVALID_ATTRIBUTE;
    case Code::unknown_type: return GRAFT_CODE_UNKNOWN_TYPE;
    case Code::dtype_mismatch: return GRAFT_CODE_DTYPE_MISMATCH;
    case Code::shape_mismatch: return GRAFT_CODE_SHAPE_MISMATCH;
    case Code::rank_mismatch: return GRAFT_CODE_RANK_MISMATCH;
    case Code::value_out_of_range: return GRAFT_CODE_VALUE_OUT_OF_RANGE;
    case Code::unsupported_dtype: return GRAFT_CODE_UNSUPPORTED_DTYPE;
    case Code::unsupported_rank: return GRAFT_CODE_UNSUPPORTED_RANK;
    case Code::unsupported_attribute: return GRAFT_CODE_UNSUPPORTED_ATTRIBUTE;
    case Code::needs_constant: return GRAFT_CODE_NEEDS_CONSTANT;
    case Code::needs_later_target: return GRAFT_CODE_NEEDS_LATER_TARGET;
    case Code::int64_range: return GRAFT_CODE_INT64_RANGE;
    case Code::dynamic_shape: return GRAFT_CODE_DYNAMIC_SHAPE;
    case Code::empty_tensor: return GRAFT_CODE_EMPTY_TENSOR;
    case Code::host_only: return GRAFT_CODE_HOST_ONLY;
    case Code::fp16_range: return GRAFT_CODE_FP16_RANGE;
    case Code::not_worth_it: return GRAFT_CODE_NOT_WORTH_IT;
    case Code::claimed_late_refusal: return GRAFT_CODE_CLAIMED_LATE_REFUSAL;
    case Code::overridable_initializer: return GRAFT_CODE_OVERRIDABLE_INITIALIZER;
    case Code::open_dim: return GRAFT_CODE_OPEN_DIM;
    case Code::input_range: return GRAFT_CODE_INPUT_RANGE;
    case Code::unused_input: return GRAFT_CODE_UNUSED_INPUT;
    case Code::precision_note: return GRAFT_CODE_PRECISION_NOTE;
    case Code::unknown_option: return GRAFT_CODE_UNKNOWN_OPTION;
    case Code::invalid_option: return GRAFT_CODE_INVALID_OPTION;
    case Code::not_available_yet: return GRAFT_CODE_NOT_AVAILABLE_YET;
    case Code::invalid_argument: return GRAFT_CODE_INVALID_ARGUMENT;
    case Code::would_overwrite: return GRAFT_CODE_WOULD_OVERWRITE;
    case Code::not_delegated: return GRAFT_CODE_NOT_DELEGATED;
    case Code::not_accurate: return GRAFT_CODE_NOT_ACCURATE;
    case Code::cancelled: return GRAFT_CODE_CANCELLED;
    case Code::device_unavailable: return GRAFT_CODE_DEVICE_UNAVAILABLE;
    case Code::internal: return GRAFT_CODE_INTERNAL;
  }
  return GRAFT_CODE_INTERNAL;
}

graft_fault fault_of(Fault fault) {
  switch (fault) {
    case Fault::none: return GRAFT_FAULT_NONE;
    case Fault::model: return GRAFT_FAULT_MODEL;
    case Fault::options: return GRAFT_FAULT_OPTIONS;
    case Fault::machine: return GRAFT_FAULT_MACHINE;
    case Fault::us: return GRAFT_FAULT_US;
  }
  return GRAFT_FAULT_US;
}

namespace {

// Made when the library is loaded, so that it exists when there is no memory left. Never freed, never changed.
const graft_error kNoMemory = [] {
  graft_error e;
  e.diag.code = Code::out_of_memory;
  e.diag.message = "out of memory";
  e.text = render(e.diag);
  return e;
}();

}  // namespace

graft_error* out_of_memory_error() noexcept { return const_cast<graft_error*>(&kNoMemory); }

graft_error as_error(const Diag& diag) {
  graft_error e;
  e.text = render(diag);
  e.diag = diag;
  e.inner = as_errors(diag.inner);
  e.diag.inner.clear();
  return e;
}

std::vector<graft_error> as_errors(std::span<const Diag> diags) {
  std::vector<graft_error> list;
  for (const Diag& d : diags) list.push_back(as_error(d));
  return list;
}

graft_error* make_error(Diag diag) noexcept {
  try {
    return std::make_unique<graft_error>(as_error(diag)).release();
  } catch (...) {
    return out_of_memory_error();
  }
}

}  // namespace graft::api

extern "C" {

graft_code graft_error_code(const graft_error* error) {
  return error == nullptr ? GRAFT_CODE_OK : graft::api::code_of(error->diag.code);
}

const char* graft_error_code_name(const graft_error* error) {
  return error == nullptr ? "ok" : graft::info(error->diag.code).name.data();
}

graft_fault graft_error_fault(const graft_error* error) {
  if (error == nullptr) return GRAFT_FAULT_NONE;
  return graft::api::fault_of(error->diag.fault());
}

const char* graft_error_message(const graft_error* error) {
  return error == nullptr ? "" : error->diag.message.c_str();
}
const char* graft_error_text(const graft_error* error) { return error == nullptr ? "" : error->text.c_str(); }
const char* graft_error_file(const graft_error* error) { return error == nullptr ? "" : error->diag.file.c_str(); }
const char* graft_error_node(const graft_error* error) { return error == nullptr ? "" : error->diag.node.c_str(); }
const char* graft_error_op(const graft_error* error) { return error == nullptr ? "" : error->diag.op.c_str(); }
const char* graft_error_tensor(const graft_error* error) { return error == nullptr ? "" : error->diag.tensor.c_str(); }

size_t graft_error_remedy_count(const graft_error* error) { return error == nullptr ? 0 : error->diag.remedies.size(); }
const char* graft_error_remedy(const graft_error* error, size_t index) {
  return index < graft_error_remedy_count(error) ? error->diag.remedies[index].c_str() : nullptr;
}
size_t graft_error_inner_count(const graft_error* error) { return error == nullptr ? 0 : error->inner.size(); }
const graft_error* graft_error_inner(const graft_error* error, size_t index) {
  return index < graft_error_inner_count(error) ? &error->inner[index] : nullptr;
}

graft_error* graft_error_create(const graft_error_info* info) {
  return graft::api::guarded([&]() -> graft::Status {
    GRAFT_TRY(const graft_error_info given, graft::api::read_struct(info, "graft_error_info"));
    const auto text = [](const char* s) { return std::string(s == nullptr ? "" : s); };
    for (const graft::CodeInfo& c : graft::all_codes()) {
      if (graft::api::code_of(c.code) != given.code) continue;
      graft::Diag d;
      d.code = c.code;
      d.message = text(given.message);
      d.file = text(given.file);
      d.node = text(given.node);
      d.op = text(given.op);
      d.tensor = text(given.tensor);
      return graft::fail(std::move(d));
    }
    return graft::api::invalid(graft::format("{} is no code of an error", given.code));
  });
}

void graft_error_free(graft_error* error) {
  if (error != graft::api::out_of_memory_error()) delete error;
}

}  // extern "C"
