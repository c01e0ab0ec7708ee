// How the page is built, and how it is served while one works on it (`npm run dev` beside `barrage dev`).
import { defineConfig } from 'vite';

const server = process.env.BARRAGE_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  build: {
    // The page's content security policy allows files of its own only: nothing may become a data: URL or inline code.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '/v1': { target: server, ws: true },
      '/dev': { target: server },
    },
  },
});
