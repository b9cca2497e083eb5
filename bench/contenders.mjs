// What the comparisons share.

/** PyTorch's allocator as it runs best here: huge pages, and no memory given back between steps. */
export const tunables = [
  "glibc.malloc.hugetlb=1",
  "glibc.malloc.mmap_threshold=33554432",
  "glibc.malloc.trim_threshold=17179869184",
  "glibc.malloc.top_pad=268435456",
].join(":")

export function median(list) {
  const sorted = [...list].sort((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2
}
