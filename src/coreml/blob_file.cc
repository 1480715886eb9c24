#include "coreml/blob_file.h"

#include <array>
#include <cstring>

#include "base/format.h"

namespace graft::coreml {
namespace {

constexpr uint64_t kAlign = 64;
constexpr uint32_t kVersion = 2, kSentinel = 0xDEADBEEF;

struct Header {
  uint32_t count, version;
  uint64_t reserved[7];
};
struct RecordHeader {
  uint32_t sentinel, dtype;
  uint64_t size, offset, unused_bits;
  uint64_t reserved[4];
};
static_assert(sizeof(Header) == kAlign && sizeof(RecordHeader) == kAlign);

uint64_t aligned(uint64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

uint64_t type_key(const ir::Constant& c) {
  const Shape& s = c.shape();
  return hash64(Bytes(reinterpret_cast<const std::byte*>(s.data()), static_cast<size_t>(s.size()) * sizeof(int64_t)),
                static_cast<uint64_t>(c.dtype()));
}

uint64_t unused_bits(DType dtype, int64_t count) {
  const int width = bits(dtype);
  return width >= 8 ? 0 : (8 - static_cast<uint64_t>(count) * static_cast<uint64_t>(width) % 8) % 8;
}

// A digest that depends on the bytes only, not on the pieces in which they come.
class Digest {
 public:
  void add(const void* data, size_t size) {
    const std::byte* p = static_cast<const std::byte*>(data);
    while (size > 0) {
      if (fill_ == 0 && size >= kPiece) {
        value_ = hash64(Bytes(p, kPiece), value_);
        p += kPiece;
        size -= kPiece;
        continue;
      }
      const size_t n = std::min(size, kPiece - fill_);
      std::memcpy(piece_.data() + fill_, p, n);
      fill_ += n;
      p += n;
      size -= n;
      if (fill_ == kPiece) flush();
    }
  }
  uint64_t finish() {
    flush();
    return value_;
  }

 private:
  static constexpr size_t kPiece = 16 << 10;
  void flush() {
    value_ = hash64(Bytes(piece_.data(), fill_), value_);
    fill_ = 0;
  }
  std::array<std::byte, kPiece> piece_;
  size_t fill_ = 0;
  uint64_t value_ = 0;
};

}  // namespace

uint32_t blob_dtype(DType dtype) {
  switch (dtype) {
    case DType::f16: return 1;
    case DType::f32: return 2;
    case DType::u8: return 3;
    case DType::i8: return 4;
    case DType::bf16: return 5;
    case DType::i16: return 6;
    case DType::u16: return 7;
    case DType::i4: return 8;
    case DType::u1: return 9;
    case DType::u2: return 10;
    case DType::u4: return 11;
    case DType::u3: return 12;
    case DType::u6: return 13;
    case DType::i32: return 14;
    case DType::u32: return 15;
    case DType::f8e4m3fn: return 16;
    case DType::f8e5m2: return 17;
    default: return 0;
  }
}

uint64_t BlobWriter::add(const ir::ConstantPtr& constant) {
  std::vector<size_t>& same_type = by_type_[type_key(*constant)];
  for (const size_t i : same_type) {
    const ir::Constant& have = *records_[i].constant;
    if (&have == constant.get()) return records_[i].offset;
    if (have.hash() == constant->hash() && have.same_as(*constant)) return records_[i].offset;
  }
  const uint64_t offset = end_;
  end_ = aligned(offset + sizeof(RecordHeader) + constant->bytes());
  same_type.push_back(records_.size());
  records_.push_back({constant, offset});
  return offset;
}

Result<uint64_t> BlobWriter::write(const std::string& path) const {
  GRAFT_TRY(FileWriter file, FileWriter::create(path));
  static constexpr char kZeros[kAlign] = {};
  Digest digest;
  const auto put = [&](const void* data, size_t size) {
    digest.add(data, size);
    file.write(data, size);
  };
  const Header header{static_cast<uint32_t>(records_.size()), kVersion, {}};
  put(&header, sizeof header);
  for (const Record& r : records_) {
    put(kZeros, static_cast<size_t>(r.offset - file.position()));
    const ir::Constant& c = *r.constant;
    const RecordHeader record{
        kSentinel, blob_dtype(c.dtype()), c.bytes(), r.offset + sizeof(RecordHeader), unused_bits(c.dtype(), c.count()),
        {}};
    put(&record, sizeof record);
    c.read(put);
  }
  GRAFT_CHECK(file.close());
  return digest.finish();
}

Result<std::shared_ptr<const BlobReader>> BlobReader::open(const std::string& path, Hold hold, const Bounds& bounds) {
  auto reader = std::make_shared<BlobReader>();
  GRAFT_TRY(reader->file_, FileBytes::open(path, hold, bounds));
  Header header{};
  if (reader->file_->size() < sizeof header)
    return fail_in(Code::malformed, path,
                   format("a blob file has a header of {} bytes, this one is {} bytes long", sizeof header,
                          reader->file_->size()));
  GRAFT_TRY(const Bytes bytes, reader->file_->bytes(0, sizeof header));
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.version != kVersion)
    return fail_in(Code::unsupported_format, path,
                   format("blob storage version {}, only version {} is read", header.version, kVersion));
  return std::shared_ptr<const BlobReader>(std::move(reader));
}

Result<ir::ConstantPtr> BlobReader::constant(uint64_t offset, DType dtype, const Shape& shape) const {
  const uint64_t end = file_->size();
  const auto bad = [&](std::string_view message) {
    return fail_in(Code::malformed, file_->path(), format("blob at offset {}: {}", offset, message));
  };
  RecordHeader r{};
  if (offset < sizeof(Header) || offset > end || end - offset < sizeof r)
    return bad(format("no record there, the file has {} bytes", end));
  GRAFT_TRY(const Bytes record, file_->bytes(offset, sizeof r));
  std::memcpy(&r, record.data(), sizeof r);
  if (r.sentinel != kSentinel) return bad(format("the record starts with {:#x}, not {:#x}", r.sentinel, kSentinel));
  if (const uint32_t code = blob_dtype(dtype); code == 0 || r.dtype != code)
    return bad(format("the record has type code {}, {} needs {}", r.dtype, name(dtype), code));
  const int64_t count = checked_count(shape);
  if (count < 0) return bad("the declared type has too many elements");
  const size_t want = byte_size(dtype, count);
  if (r.size != want) return bad(format("{} bytes, {} has {}", r.size, describe(dtype, shape), want));
  if (r.offset > end || end - r.offset < r.size)
    return bad(format("{} bytes at {} are beyond the end of the file ({} bytes)", r.size, r.offset, end));
  GRAFT_TRY(const Bytes data, file_->bytes(r.offset, want));
  return ir::Constant::borrow({dtype, shape, data.data()}, file_);
}

}  // namespace graft::coreml
