import { defineConfig } from "vitest/config"

// Each file in a process of its own, so that a crash names its file; two at a time: the references that the tables compare
// with run on one thread.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
