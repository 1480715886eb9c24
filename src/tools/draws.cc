#include "tools/draws.h"

#include <algorithm>
#include <unordered_set>

namespace graft::tools {
namespace {

constexpr Draw kDraws[] = {
    {.name = "ordinary", .doc = "floats from -1 to 1, integers and bools 0 or 1"},
    {.name = "large", .doc = "floats from -100 to 100", .typical = false, .lo = -100, .hi = 100},
    {.name = "tiny", .doc = "floats from -0.0002 to 0.0002", .typical = false, .lo = -2e-4, .hi = 2e-4},
    {.name = "counts",
     .doc = "floats that are whole numbers from 2049 to 4095, every other of which fp16 has not",
     .typical = false,
     .lo = 2049,
     .hi = 4095,
     .whole = true},
    {.name = "off",
     .doc = "integers and bools 0: masks all off, ids at the beginning of their tables",
     .integers = Draw::Integers::zeros},
    {.name = "on", .doc = "integers and bools 1: masks all on", .integers = Draw::Integers::ones},
    {.name = "ends", .doc = "ids at both ends of their tables", .integers = Draw::Integers::ends},
};

bool follows(const ir::Op& op) {
  return op.is(ir::Kind::pointwise) || op.is(ir::Kind::move) || op.is(ir::Kind::view) || op.is(ir::Kind::transpose) ||
         op.is(ir::Kind::slice) || op.is(ir::Kind::concat);
}

// The entries of the table that a gather reads along its axis; 0 where they are not known.
int64_t entries(const ir::Op& gather) {
  const ir::Value* x = gather.arg("x");
  if (x == nullptr || gather.row->param_index("axis") < 0) return 0;
  const ir::Dim& dim = x->dim(static_cast<int>(ir::call_of(gather).i("axis")));
  return dim.known() ? dim.value() : 0;
}

}  // namespace

std::span<const Draw> draws() { return kDraws; }

Tables tables_of(const session::Session& session) {
  Tables tables;
  if (session.partitioning() == nullptr || session.partitioning()->host == nullptr) return tables;
  const ir::Function& main = session.partitioning()->host->main();
  // By value: the inputs whose elements, counted on or moved, it is made of.
  std::unordered_map<const ir::Value*, std::unordered_set<std::string_view>> from;
  for (const ir::Value* v : main.inputs) {
    if (is_int(v->dtype())) from[v] = {v->name};
  }
  ir::visit_ops(main.body, [&](ir::Op& op) {
    const bool gathers = op.is(ir::Kind::gather);
    if (!gathers && !follows(op)) return;
    for (size_t p = 0; p < op.args.size(); ++p) {
      for (const ir::Value* v : op.args[p]) {
        const auto at = from.find(v);
        if (at == from.end() || !is_int(v->dtype())) continue;
        const std::unordered_set<std::string_view> names = at->second;
        if (gathers && op.row->params()[p].name == "indices") {
          const int64_t n = entries(op);
          for (const std::string_view name : names) {
            if (n > 0) tables[name] = tables.contains(name) ? std::min(tables[name], n) : n;
          }
        } else if (!gathers) {
          for (const ir::Value* r : op.results) from[r].insert(names.begin(), names.end());
        }
      }
    }
  });
  return tables;
}

bool applies(const Draw& draw, const session::Session& session, const Tables& tables,
             std::span<const TensorView> given) {
  const Draw& ordinary = kDraws[0];
  const bool other_floats = draw.lo != ordinary.lo || draw.hi != ordinary.hi || draw.whole;
  for (size_t i = 0; i < session.inputs().size(); ++i) {
    if (i < given.size() && given[i].dtype != DType::invalid) continue;
    const ir::Port& port = session.inputs()[i];
    const DType t = port.type.dtype;
    if (is_float(t) && other_floats) return true;
    if (draw.integers == Draw::Integers::ends
            ? tables.contains(port.name)
            : draw.integers != Draw::Integers::either && (is_int(t) || t == DType::boolean))
      return true;
  }
  return false;
}

}  // namespace graft::tools
