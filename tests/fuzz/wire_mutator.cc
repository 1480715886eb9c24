#include "fuzz/wire_mutator.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <random>
#include <vector>

namespace graft::fuzz {
namespace {

using Random = std::minstd_rand;

enum Wire : uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
  uint32_t number = 0;
  uint32_t wire = varint;
  uint64_t scalar = 0;
  std::string text;           // bytes that are no message
  std::vector<Field> fields;  // of a message
  bool message = false;
};
using Message = std::vector<Field>;

constexpr int kDepth = 32;           // messages deeper than this stay bytes
constexpr uint32_t kHighest = 4096;  // field numbers above are text that looks like a message

std::optional<uint64_t> take_varint(std::string_view& in) {
  uint64_t v = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in[0]);
    in.remove_prefix(1);
    v |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return v;
  }
  return std::nullopt;
}

std::optional<uint64_t> take_fixed(std::string_view& in, size_t size) {
  if (in.size() < size) return std::nullopt;
  uint64_t v = 0;
  for (size_t i = 0; i < size; ++i) v |= uint64_t{static_cast<unsigned char>(in[i])} << (8 * i);
  in.remove_prefix(size);
  return v;
}

std::optional<Message> parse(std::string_view in, int depth) {
  Message m;
  while (!in.empty()) {
    Field& f = m.emplace_back();
    const auto key = take_varint(in);
    if (!key || *key >> 3 == 0 || *key >> 3 > kHighest) return std::nullopt;
    f.number = static_cast<uint32_t>(*key >> 3);
    f.wire = static_cast<uint32_t>(*key & 7);
    if (f.wire == bytes) {
      const auto size = take_varint(in);
      if (!size || *size > in.size()) return std::nullopt;
      const std::string_view text = in.substr(0, *size);
      in.remove_prefix(*size);
      auto inner = text.empty() || depth == 0 ? std::nullopt : parse(text, depth - 1);
      f.message = inner.has_value();
      if (inner) {
        f.fields = std::move(*inner);
      } else {
        f.text = text;
      }
      continue;
    }
    std::optional<uint64_t> scalar;
    if (f.wire == varint) scalar = take_varint(in);
    if (f.wire == fixed64) scalar = take_fixed(in, 8);
    if (f.wire == fixed32) scalar = take_fixed(in, 4);
    if (!scalar) return std::nullopt;
    f.scalar = *scalar;
  }
  return m;
}

void put_varint(std::string& out, uint64_t v) {
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  out += static_cast<char>(v);
}

std::string written(const Message& m) {
  std::string out;
  for (const Field& f : m) {
    put_varint(out, uint64_t{f.number} << 3 | f.wire);
    if (f.wire == varint) put_varint(out, f.scalar);
    for (size_t i = 0; (f.wire == fixed64 && i < 8) || (f.wire == fixed32 && i < 4); ++i)
      out += static_cast<char>(f.scalar >> (8 * i));
    if (f.wire != bytes) continue;
    const std::string inner = f.message ? written(f.fields) : f.text;
    put_varint(out, inner.size());
    out += inner;
  }
  return out;
}

// A field with the message it is in, and the number of the field that the message is: a field of elsewhere belongs here
// if both numbers are equal.
struct Place {
  Message* in;
  size_t at;
  uint32_t under;
  Field& field() const { return (*in)[at]; }
};

void collect(Message& m, uint32_t under, std::vector<Place>& places) {
  for (size_t i = 0; i < m.size(); ++i) {
    places.push_back({&m, i, under});
    if (m[i].message) collect(m[i].fields, m[i].number, places);
  }
}

class Mutator {
 public:
  Mutator(Message message, Message other, unsigned seed, size_t most, const MutateBytes& mutate)
      : message_(std::move(message)), other_(std::move(other)), random_(seed), most_(most), mutate_(mutate) {
    collect(other_, 0, others_);
  }

  Message run() {
    for (size_t n = 1 + below(4); n > 0; --n) {
      places_.clear();
      collect(message_, 0, places_);
      if (places_.empty()) break;
      change(pick(places_));
    }
    return std::move(message_);
  }

 private:
  size_t below(size_t n) { return n == 0 ? 0 : random_() % n; }
  Place pick(const std::vector<Place>& from) { return from[below(from.size())]; }

  void change(const Place& p) {
    switch (below(8)) {
      case 0: p.in->erase(p.in->begin() + static_cast<std::ptrdiff_t>(p.at)); break;
      case 1: {
        const Field copy = p.field();
        p.in->insert(p.in->begin() + static_cast<std::ptrdiff_t>(p.at), copy);
        break;
      }
      case 2: std::swap(p.field(), (*p.in)[below(p.in->size())]); break;
      case 3: take(p, places_); break;
      case 4: take(p, others_); break;
      default: change_value(p.field());
    }
  }

  // A field of the same kind from another place: another tensor, node or name, or a whole branch.
  void take(const Place& p, const std::vector<Place>& from) {
    std::vector<Place> fitting;
    std::copy_if(from.begin(), from.end(), std::back_inserter(fitting), [&](const Place& o) {
      return o.under == p.under && o.field().number == p.field().number && o.field().wire == p.field().wire;
    });
    if (fitting.empty()) return;
    Field copy = pick(fitting).field();
    if (below(3) == 0) {
      p.in->push_back(std::move(copy));
    } else {
      p.field() = std::move(copy);
    }
  }

  void change_value(Field& f) {
    if (f.wire != bytes) {
      static constexpr uint64_t kNotable[] = {0,
                                              1,
                                              2,
                                              3,
                                              7,
                                              8,
                                              16,
                                              64,
                                              255,
                                              65535,
                                              0x7fffffff,
                                              0x80000000,
                                              0xffffffff,
                                              0x7fffffffffffffff,
                                              0x8000000000000000,
                                              0xffffffffffffffff};
      switch (below(4)) {
        case 0: f.scalar = kNotable[below(std::size(kNotable))]; break;
        case 1: f.scalar += below(9); break;
        case 2: f.scalar -= below(9); break;
        default: f.scalar ^= uint64_t{1} << below(64);
      }
      return;
    }
    if (f.message) {
      if (below(4) == 0) f.fields.clear();
      return;
    }
    f.text = mutated_bytes(f.text, std::min(f.text.size() + 64, most_), mutate_);
  }

  Message message_, other_;
  Random random_;
  size_t most_;
  const MutateBytes& mutate_;
  std::vector<Place> places_, others_;
};

}  // namespace

std::string mutated_bytes(std::string_view bytes, size_t most, const MutateBytes& mutate) {
  std::string out(bytes.substr(0, most));
  const size_t had = out.size();
  out.resize(most);
  if (most != 0) out.resize(mutate(reinterpret_cast<uint8_t*>(out.data()), had, most));
  return out;
}

std::string mutated_message(std::string_view message, std::string_view other, size_t most, unsigned seed,
                            const MutateBytes& mutate) {
  std::optional<Message> parsed = parse(message, kDepth), more = parse(other, kDepth);
  if (parsed && !parsed->empty() && seed % 16 != 0) {
    const std::string made =
        written(Mutator(std::move(*parsed), more ? std::move(*more) : Message{}, seed / 16, most, mutate).run());
    if (made.size() <= most) return made;
  }
  return mutated_bytes(message, most, mutate);  // no message, or one for the reader to refuse
}

}  // namespace graft::fuzz
