import { defineConfig } from 'vite';

export default defineConfig({
  build: { outDir: process.env.PAGE_DIR ?? 'dist', emptyOutDir: true },
  // For `npx vite`: the page from here, the answers from the Rust example.
  server: { proxy: { '/api': 'http://127.0.0.1:3000' } },
});
