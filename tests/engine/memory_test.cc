#include "engine/memory.h"

#include <gtest/gtest.h>

#include <random>

namespace graft::engine {
namespace {

void expect_apart(const std::vector<Storage>& all, size_t total) {
  for (size_t i = 0; i < all.size(); ++i) {
    const Storage& a = all[i];
    EXPECT_EQ(a.offset % kArenaAlign, 0U);
    EXPECT_LE(a.offset + a.bytes, total);
    for (size_t j = 0; j < i; ++j) {
      const Storage& b = all[j];
      const bool at_once = a.first <= b.last && b.first <= a.last;
      EXPECT_FALSE(at_once && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes) << i << " and " << j;
    }
  }
}

TEST(Memory, StoragesThatLiveAtOnceLieApart) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<Storage> all(random() % 60);
    const int steps = 1 + static_cast<int>(random() % 40);
    for (Storage& s : all) {
      s.bytes = random() % 5 == 0 ? 0 : random() % 1000;
      s.first = static_cast<int>(random()) % steps;
      s.first = std::abs(s.first);
      s.last = s.first + static_cast<int>(random() % 10);
    }
    expect_apart(all, place(all));
  }
}

TEST(Memory, WhatDiedMakesRoom) {
  std::vector<Storage> chain;
  for (int i = 0; i < 1000; ++i) chain.push_back({640, i, i + 1});
  EXPECT_EQ(place(chain), 1280U);
  EXPECT_EQ(place(std::span<Storage>()), 0U);
  std::vector<Storage> never = {{0, 5, -1}};  // nothing reads or writes it
  EXPECT_EQ(place(never), 0U);
}

// The gap of the one that died is the tightest that holds the new one.
TEST(Memory, TightestGap) {
  std::vector<Storage> s = {{512, 0, 9}, {384, 0, 3}, {320, 0, 9}, {256, 0, 3}, {192, 0, 9}, {128, 5, 6}};
  EXPECT_EQ(place(s), 512U + 384 + 320 + 256 + 192);
  EXPECT_EQ(s[5].offset, 512U + 384 + 320);
}

TEST(Memory, ManyThatLiveAtOnce) {
  std::mt19937 random(7);
  std::vector<Storage> all;
  for (int i = 0; i < 3000; ++i) {
    const int first = static_cast<int>(random() % 50);
    all.push_back({1 + random() % 1000, first, first + static_cast<int>(random() % 50)});
  }
  expect_apart(all, place(all));
  // As many as a graph may have outputs, and a chain beside them that needs the room of two.
  all.assign(100'000, {64, 0, 1'000'000});
  for (int i = 0; i < 100'000; ++i) all.push_back({64, i, i + 1});
  EXPECT_EQ(place(all), size_t{64} * 100'002);
}

TEST(Memory, ManyStorages) {
  std::vector<Storage> chain;
  for (int i = 0; i < 300'000; ++i) chain.push_back({64 + static_cast<size_t>(i % 7) * 64, i, i + 1 + i % 3});
  EXPECT_LE(place(chain), size_t{4} * 7 * 64);
}

}  // namespace
}  // namespace graft::engine
