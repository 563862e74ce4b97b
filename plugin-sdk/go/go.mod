module outboard.example/outboard

go 1.22
