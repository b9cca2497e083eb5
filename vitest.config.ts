import { defineConfig } from "vitest/config"

// One file at a time in a process of its own: the engine brings its own threads, and a crash names its file.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
