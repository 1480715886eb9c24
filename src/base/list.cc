#include "base/list.h"

#include <algorithm>

namespace graft {

Result<List> List::of(std::vector<Tensor> tensors, const std::shared_ptr<MemoryLimit>& limit) {
  List list;
  list.items_ = std::make_shared<Items>();
  GRAFT_TRY(list.items_->share, MemoryShare::take(limit, tensors.capacity() * sizeof(Tensor)));
  list.items_->tensors = std::move(tensors);
  list.size_ = list.items_->tensors.size();
  return list;
}

std::span<const Tensor> List::tensors() const {
  return items_ == nullptr ? std::span<const Tensor>() : std::span<const Tensor>(items_->tensors).first(size_);
}

Status List::Items::reserve(size_t count, const std::shared_ptr<MemoryLimit>& limit) {
  if (count <= tensors.capacity()) return {};
  const size_t wanted = std::max(count, 2 * tensors.capacity());
  GRAFT_TRY(share, MemoryShare::take(limit, wanted * sizeof(Tensor)));
  try {
    tensors.reserve(wanted);
  } catch (const std::exception&) {
    return fail(Code::out_of_memory, "no memory for a list");
  }
  return {};
}

Result<List> List::appended(Tensor tensor, const std::shared_ptr<MemoryLimit>& limit) const {
  List longer = *this;
  longer.sealed_ = false;
  if (items_ == nullptr || sealed_ || items_->tensors.size() != size_) {
    longer.items_ = std::make_shared<Items>();
    GRAFT_CHECK(longer.items_->reserve(size_ + 1, limit));
    const std::span<const Tensor> mine = tensors();
    longer.items_->tensors.assign(mine.begin(), mine.end());
  }
  GRAFT_CHECK(longer.items_->reserve(size_ + 1, limit));
  longer.items_->tensors.push_back(std::move(tensor));
  ++longer.size_;
  return longer;
}

Result<List> List::resized(int64_t length, const std::shared_ptr<MemoryLimit>& limit) const {
  List list;
  if (length == 0) return list;
  list.items_ = std::make_shared<Items>();
  list.size_ = static_cast<size_t>(length);
  GRAFT_CHECK(list.items_->reserve(list.size_, limit));
  const std::span<const Tensor> mine = tensors().first(std::min(size_, list.size_));
  list.items_->tensors.assign(mine.begin(), mine.end());
  list.items_->tensors.resize(list.size_);
  return list;
}

}  // namespace graft
