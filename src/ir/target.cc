#include "ir/target.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/format.h"
#include "ir/call.h"

namespace graft::ir {
namespace {

constexpr OpsetInfo kOpsets[] = {
#define GRAFT_OPSET(id, name, file_name, text_name, spec_version, ports, others) \
  {Opset::id, name, file_name, text_name, spec_version, ports, others},
#include "ir/opset.def"
};

// What Core ML computes with. A file may also hold constants of fewer bits, which operators make into these.
constexpr DTypes kValues{DType::f16, DType::f32, DType::i32, DType::boolean, DType::string,
                         DType::i8,  DType::u8,  DType::i16, DType::u16};

struct Alias {
  std::string_view name;
  Opset opset;
};
std::string_view system_of(std::string_view name) { return name.substr(0, name.find_first_of("0123456789")); }

// The other systems' names, system by system.
const std::vector<Alias>& aliases() {
  static const std::vector<Alias> kAliases = [] {
    std::vector<Alias> list;
    for (const OpsetInfo& o : kOpsets) {
      for (std::string_view rest = o.others; !rest.empty();) {
        const std::string_view name = rest.substr(0, rest.find(' '));
        rest.remove_prefix(std::min(name.size() + 1, rest.size()));
        const auto last = std::find_if(list.rbegin(), list.rend(),
                                       [&](const Alias& a) { return system_of(a.name) == system_of(name); });
        list.insert(last == list.rend() ? list.end() : last.base(), {name, o.opset});
      }
    }
    return list;
  }();
  return kAliases;
}

}  // namespace

const OpsetInfo& info(Opset opset) { return kOpsets[std::min(static_cast<size_t>(opset), std::size(kOpsets) - 1)]; }
std::span<const OpsetInfo> all_opsets() { return kOpsets; }

const OpsetInfo* opset_from_file_name(std::string_view name) {
  for (const OpsetInfo& o : kOpsets) {
    if (o.file_name == name) return &o;
  }
  return nullptr;
}

const OpsetInfo* opset_from_spec_version(int version) {
  for (const OpsetInfo& o : kOpsets) {
    if (o.spec_version == version) return &o;
  }
  return nullptr;
}

Result<Opset> parse_target(std::string_view name) {
  std::string legal;
  for (const OpsetInfo& o : kOpsets) {
    if (same_word(o.name, name)) return o.opset;
    legal += std::string(o.name) + ", ";
  }
  for (const Alias& a : aliases()) {
    if (same_word(a.name, name)) return a.opset;
    legal += std::string(a.name) + ", ";
  }
  legal.resize(legal.size() - 2);
  if (same_word(name, "iOS13") || same_word(name, "iOS14")) {
    return fail(Code::not_available_yet, format("deployment target {} needs the NeuralNetwork format, which is not "
                                                "available yet; ML Programs start at iOS15",
                                                name));
  }
  return fail(Code::invalid_option, format("unknown deployment target '{}'; legal are {}", name, legal));
}

std::string target_names() {
  std::string names;
  for (const OpsetInfo& o : kOpsets) names += std::string(o.name) + ", ";
  std::string_view system;
  for (const Alias& a : aliases()) {
    const std::string_view of = system_of(a.name);
    if (of == system) continue;
    names += std::string(a.name) + ", ";
    system = of;
  }
  return names + "…";
}

// ---- Target -------------------------------------------------------------------------------------------------------

namespace {

constexpr DTypes every_dtype() {
  DTypes all;
#define GRAFT_DTYPE(id, ...) all = all | DTypes{DType::id};
#include "base/dtype.def"
#undef GRAFT_DTYPE
  return all;
}

Status has_elements(const Type& type) {
  for (const Dim& d : type.dims) {
    if (d.range().hi < 1)
      return fail(Code::empty_tensor, format("got {}, Core ML has no tensors without elements", type.to_string()));
  }
  return {};
}

Status rank_fits(const Type& type) {
  if (type.rank() <= Target::kMostDims) return {};
  return fail(Code::unsupported_rank,
              format("got {}, Core ML tensors have rank 0 to {}", type.to_string(), Target::kMostDims));
}

tl::unexpected<Diag> of_operator(const OpRow& row, Code code, std::string message) {
  Diag d;
  d.code = code;
  d.op = std::string(row.name());
  d.message = std::move(message);
  return fail(std::move(d));
}

// Whether a form has parameters that the later one lacks.
bool ended(const Signature& form, const Signature& later) {
  return std::any_of(form.params.begin(), form.params.end(),
                     [&](const Param& p) { return later.find(p.name) == nullptr; });
}

// The oldest opset up to `newest` with a variant that takes the call. A program may turn out to need any opset up to
// that one, which has to have the form still.
Result<Opset> oldest_variant(const Call& call, Opset newest) {
  std::optional<Diag> why;
  if (const Signature* last = call.row().at(newest), &form = call.row().form_of(call);
      last != nullptr && form.variant->since < last->variant->since && ended(form, *last)) {
    return of_operator(call.row(), Code::unsupported_operator,
                       format("{} in this form ends before {}", call.row().name(), info(last->variant->since).name));
  }
  for (const Signature& s : call.row().signatures) {
    if (s.variant->read_only) continue;
    Status ok = check_arguments(call, s, false);
    if (ok && s.variant->check != nullptr) ok = s.variant->check(call);
    if (ok && s.variant->since <= newest) return s.variant->since;
    if (ok) {
      return of_operator(call.row(), Code::needs_later_target,
                         format("{} in this form needs {} or later, the target is {}", call.row().name(),
                                info(s.variant->since).name, info(newest).name));
    }
    why = std::move(ok).error();
  }
  return fail(std::move(*why));
}

}  // namespace

DTypes Target::values() const { return host() ? every_dtype() : kValues; }

DTypes Target::constants() const {
  if (host()) return every_dtype();
  constexpr DTypes kWide{DType::i64, DType::u64, DType::f64, DType::bf16};
  DTypes in_files;
#define GRAFT_DTYPE(id, mil_name, onnx_code, mil_code, bits, kind) \
  if (mil_code != 0 && !kWide.has(DType::id)) in_files = in_files | DTypes{DType::id};
#include "base/dtype.def"
#undef GRAFT_DTYPE
  return in_files;
}

DTypes Target::ports() const { return host() ? every_dtype() : info(opset_).ports; }

DType Target::port(DType t) const {
  if (host()) return t;
  switch (t) {
    case DType::f32:
    case DType::f16:
    case DType::f64:
    case DType::bf16: return DType::f32;
    default: return (is_int(t) && bits(t) >= 8) || t == DType::boolean ? DType::i32 : DType::invalid;
  }
}

Status Target::accepts(const Type& type) const {
  if (host()) return {};
  if (type.kind == Type::Kind::state || type.kind == Type::Kind::list) return accepts(*type.element);
  if (type.kind == Type::Kind::unranked)
    return fail(Code::dynamic_shape, "only a run knows the rank, Core ML's tensors have one");
  if (type.kind == Type::Kind::optional)
    return fail(Code::host_only, "Core ML has no optional values; they run on the host");
  if (!type.is_tensor()) return {};
  if (!kValues.has(type.dtype))
    return fail(Code::unsupported_dtype,
                format("got {}, Core ML tensors are {}", graft::name(type.dtype), kValues.to_string()));
  if (!any_rank_) GRAFT_CHECK(rank_fits(type));
  return has_elements(type);
}

Status Target::accepts_port(const Type& type) const {
  if (host()) return {};
  if (!type.is_tensor())
    return fail(Code::unsupported_dtype, format("got {}, inputs and outputs are tensors", type.to_string()));
  if (!ports().has(type.dtype)) {
    for (const OpsetInfo& later : kOpsets) {
      if (!later.ports.has(type.dtype)) continue;
      return fail(Code::needs_later_target, format("{} inputs and outputs need {} or later, the target is {}",
                                                   graft::name(type.dtype), later.name, name()));
    }
    return fail(Code::unsupported_dtype, format("Core ML has no {} inputs and outputs; {} would fit",
                                                graft::name(type.dtype), ports().to_string()));
  }
  GRAFT_CHECK(rank_fits(type));
  return has_elements(type);
}

Result<IntRange> Target::port_size(const Dim& dim) const {
  if (dim.known()) {
    if (dim.value() < 1) return fail(Code::empty_tensor, "Core ML has no tensors without elements");
    return IntRange{dim.value(), dim.value()};
  }
  IntRange r = dim.range();
  r.lo = std::max<int64_t>(r.lo, 1);
  if (r.hi == INT64_MAX) return fail(Code::dynamic_shape, format("the size '{}' has no upper bound", dim.to_string()));
  if (r.hi < r.lo) return fail(Code::dynamic_shape, format("no size is possible for '{}'", dim.to_string()));
  return r;
}

Status Target::has(const OpRow& row) const {
  if (host() || !row.host_only()) return {};
  const std::string_view what = row.def->doc.substr(0, row.def->doc.find_first_of(":,;"));
  return of_operator(row, Code::host_only, format("{} has no MIL form; it runs on the host", what));
}

Result<Opset> Target::accepts(const Call& call, std::span<const Type> results) const {
  if (host()) return Opset::host;
  GRAFT_CHECK(has(call.row()));
  GRAFT_TRY(const Opset since, oldest_variant(call, opset_));
  for (const Type& t : results) GRAFT_CHECK(accepts(t));
  const bool any_rank = any_rank_ && merges_dims(call.row().def->kind);
  for (const Type& t : results) GRAFT_CHECK(any_rank || !t.is_tensor() ? Status() : rank_fits(t));
  // Constants need elements too; an empty list of integers is one of axes, or a scalar's shape.
  for (const auto& slot : call.slots()) {
    for (const Operand& o : slot) {
      if (o.type->is_tensor() && (is_float(o.type->dtype) || o.type->rank() > 1)) GRAFT_CHECK(has_elements(*o.type));
      if (o.type->is_tensor() && !any_rank) GRAFT_CHECK(rank_fits(*o.type));
    }
  }
  return since;
}

}  // namespace graft::ir
