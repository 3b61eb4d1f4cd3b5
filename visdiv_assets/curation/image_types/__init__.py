"""What kind of image an image is, such as photo or chart: by features of the pass, and by CLIP where there is one."""
