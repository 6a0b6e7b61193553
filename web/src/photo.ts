/** The photos that this tab searches with: chosen, taken, pasted or dropped; kept in the tab and nowhere else. */

export interface QueryPhoto {
  key: string;
  blob: Blob;
  /** Address of the blob, for an `img`. */
  url: string;
}

const LARGE_BYTES = 6_000_000;
const LARGE_SIDE = 2000;
const KEPT_SIDE = 900;
const KEPT = "savor-photo";
const photos = new Map<string, QueryPhoto>();

/** A photo that the browser could not make sense of. */
export class PhotoUnreadable extends Error {}

/**
 * Takes a photo in. What is large is made smaller before it is sent; what this browser cannot open (HEIC, for
 * one) is sent as it is: the server may know it.
 */
export async function takeIn(file: Blob): Promise<QueryPhoto> {
  if (file.size === 0) throw new PhotoUnreadable("This photo is empty. Choose another.");
  if (file.type && !file.type.startsWith("image/"))
    throw new PhotoUnreadable("This is not a photo. Choose a picture file, such as JPEG, PNG, WebP or HEIC.");
  const small = file.size > LARGE_BYTES ? await scaled(file, LARGE_SIDE) : null;
  const photo = remember(crypto.getRandomValues(new Uint32Array(1))[0]!.toString(36), small ?? file);
  void keep(photo);
  return photo;
}

/** Finds a photo by the key in the address; after a reload only the last one is still there, in a smaller copy. */
export async function photoOf(key: string): Promise<QueryPhoto | null> {
  const known = photos.get(key);
  if (known) return known;
  const [kept, data] = (sessionStorage.getItem(KEPT) ?? "").split(" ");
  if (!key || kept !== key || !data) return null;
  return remember(key, blobOf(data));
}

/** The photo looked at last, if any. */
export function lastPhoto(): QueryPhoto | null {
  return [...photos.values()].at(-1) ?? null;
}

function remember(key: string, blob: Blob): QueryPhoto {
  const photo = { key, blob, url: URL.createObjectURL(blob) };
  photos.set(key, photo);
  return photo;
}

async function keep(photo: QueryPhoto): Promise<void> {
  const small = await scaled(photo.blob, KEPT_SIDE);
  if (!small) return;
  const reader = new FileReader();
  reader.onload = () => {
    try {
      sessionStorage.setItem(KEPT, `${photo.key} ${String(reader.result)}`);
    } catch {
      sessionStorage.removeItem(KEPT);
    }
  };
  reader.readAsDataURL(small);
}

/** Returns a JPEG of at most `side` pixels across and down, or null where the browser cannot open the file. */
async function scaled(file: Blob, side: number): Promise<Blob | null> {
  let picture: ImageBitmap;
  try {
    picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
  const factor = Math.min(1, side / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * factor));
  canvas.height = Math.max(1, Math.round(picture.height * factor));
  canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
}

function blobOf(data: string): Blob {
  const bytes = Uint8Array.from(atob(data.slice(data.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: "image/jpeg" });
}
