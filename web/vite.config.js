import { defineConfig } from "vite";

export default defineConfig({
  build: {
    outDir: process.env.SAVOR_STATIC ?? "../src/savor/server/static",
    emptyOutDir: true,
    modulePreload: false,
    assetsInlineLimit: 0,
    target: ["chrome123", "firefox120", "safari17.5"],
    rolldownOptions: {
      output: {
        // Hashes of the content alone: the server lets browsers keep these files for ever.
        entryFileNames: "assets/page-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
  // `npm run dev` shows the page as it is being changed, with the recipes of a running `savor serve`.
  server: {
    proxy: Object.fromEntries(
      ["/health", "/search", "/recipes", "/photos", "/explain", "/import", "/feedback", "/map"].map((path) => [
        path,
        {
          target: process.env.SAVOR_SERVER ?? "http://127.0.0.1:8080",
          // The map is a view as well: browsers that go there want the page.
          bypass: ({ headers }) => (headers.accept?.includes("text/html") ? "/index.html" : undefined),
        },
      ]),
    ),
  },
});
